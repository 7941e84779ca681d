"""An app's tasks that only Python can run."""

import hashlib
import time


def checksum(text, rounds=1):
	digest = text.encode()
	for _ in range(rounds):
		digest = hashlib.sha256(digest).hexdigest().encode()
	time.sleep(1.5)
	return digest.decode()


def word_count(text):
	time.sleep(1)
	counts = {}
	for word in text.lower().split():
		counts[word] = counts.get(word, 0) + 1
	return counts
