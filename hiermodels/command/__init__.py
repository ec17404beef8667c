"""The command line: files in, a folder of results out."""
