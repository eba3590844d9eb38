"""What the portal keeps: catalog, accounts, versions of rows, and files beside them."""
