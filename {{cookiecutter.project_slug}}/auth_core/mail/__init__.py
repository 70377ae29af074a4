"""Mail: built and sent outside of the request that caused it, so that neither its failure nor its time shows."""
