"""The 8082 process: takes audio in, keeps time, and gives text to watchers."""
