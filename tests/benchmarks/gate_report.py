def markdown(r):
    return ""


def plot(r, p):
    pass
