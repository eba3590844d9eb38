"""Cases with clocks: contested numbers and requests for summary data, and the letters that answer them."""
