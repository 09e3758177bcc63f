"""Whether a cached answer may answer a new question: the decision of the semantic cache.

It is layered, and explains itself. Similarity finds the neighbours (not here). Guards veto what must agree: numbers,
units, names, negation, dates, code, language, opposites, roles. A boundary, learned online from verified outcomes only,
says how likely the cached answer is right. A controller chooses the score from which answers are served, so that the
share of false ones **among the hits** stays below the bound the user stated. A switch turns a partition off whose bound
is broken.

    partition = Partition(Settings(bound=0.01, shadow_share=0.02))
    question = sketch(text)
    decision = partition.decide(question, neighbours, chance)  # neighbours: entry and cosine, nearest first

If `decision.serve`: answer with that of `decision.evidence.entry`. If `decision.verify` too, ask upstream as well,
compare, and `partition.learn(Verified(decision.evidence, correct))`.

Else: ask upstream and store the answer as a new entry: `partition.enter(entry, question, nearest)`, with the similarity
of its nearest neighbour (0 if there is none). If `decision.verify`, compare the fresh answer with the one of
`decision.evidence.entry`, then `partition.learn(Verified(decision.evidence, correct, entered=entry))`.

An entry that leaves the cache: `partition.forget(entry)`.

`decide` changes nothing; `enter`, `learn` and `forget` do, and depend on nothing but their arguments: replicas that
apply the same ones in the same order agree. `chance` is uniform in [0, 1), from whoever owns chance.
"""
