"""The papers' claims, tried on real recordings: one file a study, one CSV a study, and
`docs/results.md` made of them."""
