"""What is special about texts: reading them, linear heads on them, networks that end in a head."""
