"""How people and programs find datasets: search, DCAT catalogs, and feeds."""
