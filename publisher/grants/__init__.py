"""Grants to outside preparers: who may see which releases and noisy reports, for what purpose, and until when."""
