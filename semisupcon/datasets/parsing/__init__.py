"""What the data sets share: reading tables, finding files, labels and splits."""
