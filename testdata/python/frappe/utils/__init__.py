def cint(s):
    return int(s)
