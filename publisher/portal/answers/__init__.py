"""Rows on their way out: their forms, their validators and their flow."""
