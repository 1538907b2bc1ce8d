"""Types, search space, contracts, errors, registry and seeds: what every other package shares."""
