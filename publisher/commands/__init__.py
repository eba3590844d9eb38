"""What single commands do; each gives lines or rows, the command line prints them."""
