"""The API that programs use."""
