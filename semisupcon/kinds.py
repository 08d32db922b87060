"""The kinds of label, and of aggregation over segments."""

KINDS = ("binary", "multiclass", "multilabel", "regression")
# What a probe averages over the segments of a track.
AGGREGATIONS = ("embedding", "logit", "probability", "vote")
