"""`python -m rwae_kit` is `rwk`."""

from rwae_kit.cli import main

if __name__ == "__main__":
    main()
