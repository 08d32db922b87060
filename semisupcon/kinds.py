"""The kinds of label."""

KINDS = ("binary", "multiclass", "multilabel", "regression")
