"""The portal's storage: catalog, accounts, versions of rows, and files."""
