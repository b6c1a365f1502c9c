"""Work done side by side: pools with a rate and a stop, prefetching, and the pace of polling."""
