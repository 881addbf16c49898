"""MedSAM: one box a target on a slice of any kind (Ma et al., Nature Communications 15:654, 2024)."""
