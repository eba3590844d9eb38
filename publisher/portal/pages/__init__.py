"""The HTML pages of the portal, in English and Spanish."""
