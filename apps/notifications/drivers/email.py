"""E-mail over SMTP, through Django's mail backend (EMAIL_URL).

SMTP has no way to recognise a message that was sent twice. The Message-ID is the same in every try, so that mail
programs that look at it show one.
"""

import smtplib
from contextlib import suppress

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection

from apps.notifications.drivers import Message, NotSent


class SmtpDriver:
    """Sends to settings.EMAIL_HOST. No step of the conversation waits longer than EMAIL_TIMEOUT."""

    def send(self, message: Message) -> None:
        """Hand the message to the mail server. Raises NotSent: a 5xx answer is final, all else may pass."""
        headers = {"Message-ID": f"<{message.key}@{settings.PUBLIC_HOST}>", "Auto-Submitted": "auto-generated"}
        line = get_connection()
        mail = EmailMultiAlternatives(message.subject, message.text, to=[message.to], headers=headers, connection=line)
        mail.attach_alternative(message.html, "text/html")
        try:
            mail.send()
        except smtplib.SMTPRecipientsRefused as refusal:
            raise _refused(*(code for code, _text in refusal.recipients.values())) from None
        except smtplib.SMTPAuthenticationError as refusal:
            # the operator's setting, not this message: somebody mends it while the tries go on
            raise NotSent("mail_login_refused", is_permanent=False, detail=f"SMTP {refusal.smtp_code}") from None
        except smtplib.SMTPResponseException as refusal:
            raise _refused(refusal.smtp_code) from None
        except (OSError, smtplib.SMTPException) as failure:  # refused, reset, no TLS, not SMTP
            is_late = isinstance(failure, TimeoutError) or isinstance(failure.__context__, TimeoutError)
            code = "mail_timeout" if is_late else "mail_unreachable"
            raise NotSent(code, is_permanent=False, detail=type(failure).__name__) from None
        finally:
            with suppress(OSError, smtplib.SMTPException):
                line.close()  # Django leaves it open when the login is refused


def _refused(*codes: int) -> NotSent:
    """Return what a mail server's answer means (RFC 5321 §4.2.1); its words, which may name people, are dropped."""
    return NotSent("mail_refused", is_permanent=min(codes) >= 500, detail=f"SMTP {min(codes)}")
