"""Training: items, configurations and the fit loop on Lightning Fabric."""
