"""The addresses that programs speak to."""
