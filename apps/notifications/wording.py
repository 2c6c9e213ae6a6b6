"""What the recipient reads, and where it goes. The only place of the room that opens a contact."""

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import translation

from apps.common.crypto import SealBroken
from apps.notifications.drivers import Message, NotSent
from apps.notifications.models import Medium, PickupCounter
from apps.orders import recipients
from apps.orders.models import Order, Recipient

LANGUAGE = settings.LANGUAGE_CODE
"""Recipients are Mercado Livre's buyers in Brazil, whatever language the person at the console reads."""


def compose(key: str, medium: str, order: Order, counter: PickupCounter) -> Message:
    """Return the message that an order is ready for pick-up.

    Raises NotSent when there is nobody to send it to: `no_phone`, or `contact_unreadable` when the number was sealed
    with a key that the hub no longer has.
    """
    to = counter.email if medium == Medium.EMAIL else _phone(order)
    values = {"order": order, "counter": counter}
    with translation.override(LANGUAGE):
        if medium == Medium.EMAIL:
            subject = " ".join(render_to_string("notifications/order_ready_subject.txt", values).split())
            text = render_to_string("notifications/order_ready.txt", values)
            return Message(key, medium, to, subject, text, render_to_string("notifications/order_ready.html", values))
        short = " ".join(render_to_string("notifications/order_ready_short.txt", values).split())
        return Message(key, medium, to, "", short, "")


def _phone(order: Order) -> str:
    recipient = Recipient.objects.filter(order=order).first()
    try:
        phone = recipients.read(recipient).phone if recipient else ""
    except SealBroken:
        raise NotSent("contact_unreadable", is_permanent=True) from None
    if not phone:
        raise NotSent("no_phone", is_permanent=True)
    return phone
