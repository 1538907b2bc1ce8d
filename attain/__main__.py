"""``python -m attain`` is the same as ``attain``."""

from attain.cli.main import main

if __name__ == "__main__":
    main()
