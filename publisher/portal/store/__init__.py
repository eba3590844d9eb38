"""What the portal keeps: catalogue, accounts, versions of rows, and files beside them."""
