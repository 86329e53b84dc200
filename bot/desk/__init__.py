"""A shop's desk: who is here, whose each conversation is, and who gets the next one.

Law: all of it lies in one slot, and none of it is the truth. The truth is the conversation's document in another slot;
the desk names a conversation at every agent who has it or is about to, and is put right from the document.
"""
