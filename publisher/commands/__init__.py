"""What each command does. It returns lines or rows; the command line prints them."""
