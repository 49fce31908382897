"""The computer: devices, memory, files, pickles, and work shared among threads and processes."""
