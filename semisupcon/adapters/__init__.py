"""Adapters with the encoder interfaces of benchmarks: HEAR, X-ARES, MTEB (MAEB) and MARBLE.

Import the module of a benchmark. Each adapter embeds audio as ``semisupcon embed`` does.
"""
