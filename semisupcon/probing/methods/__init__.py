"""Probing methods: heads, nearest neighbours, prototypes, few-shot episodes and fine-tuning."""
