"""The push: releases go to a Socrata portal whole, and are read back."""
