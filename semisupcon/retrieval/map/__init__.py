"""A map of embeddings as one HTML page: read, project, find neighbours, colour, write."""
