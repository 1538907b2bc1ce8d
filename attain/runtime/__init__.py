"""Where jobs run and where records are kept."""
