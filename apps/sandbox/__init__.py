"""A marketplace to play with: an HTTP server that behaves as Mercado Livre's seller API does.

It stands apart from the hub: it imports none of its rooms, needs none of its settings and keeps its own data.

What is where::

    __main__.py       the process: arguments, ready file, the signal that ends it
    server.py         Sandbox: the listening server; a call's way through faults, token, quota, handler, journal
    call.py           Call, Answer, Refusal: what a handler receives and gives back; the error envelopes
    state.py          every document, their indexes, one lock, one SQLite file when data must survive
    marketplace.py    Marketplace: state, notifier, faults, limits and journal, handed to each handler
    oauth.py          consent page, code and refresh-token grants, who a bearer token is
    users.py          /users/me, /users/{id}, /applications/{id}, /users/{id}/stores/search
    items.py          listings: read, search, scan, multiget, PUT with all its refusals
    user_products.py  user products and their stock by location with x-version
    stock.py          the only code that changes a quantity, and what a change sets off
    orders.py         sales: selling, cancelling, reading, searching
    shipments.py      packs' parcels, labels, the way back from a parcel to its order
    notifications.py  telling the applications, with eight tries and the 500 ms limit; missed_feeds
    faults.py         misbehaviour on request, and the quota
    journal.py        one JSON a line for each call received
    controls.py       the JSON API under /sandbox; client.py makes the same calls from Python
    page.py           the page for people, in the frame of markup.py
    clock.py          instants and the forms in which they are printed
"""
