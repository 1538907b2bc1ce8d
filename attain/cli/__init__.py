"""The commands, and all wording shown in a terminal."""
