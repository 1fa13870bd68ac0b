"""Questions of the nano exam that are asked: the others are worked examples."""


def asked(docs):
    return docs.filter(lambda doc: doc["split"] == "test")
