"""Is an answer equal to the reference, and was it said?"""
