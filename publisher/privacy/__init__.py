"""Sensitivity, noise, ledger, margins and suppression."""
