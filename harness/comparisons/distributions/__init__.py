"""The distribution layer: same ids in, how far apart are the next-token distributions?"""
