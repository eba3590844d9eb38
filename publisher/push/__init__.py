"""The push: whole releases go to a Socrata portal and are read back."""
