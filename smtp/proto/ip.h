/* ip - addresses of clients as text, in one form each: an IPv4 address that came mapped into IPv6 is an IPv4 one */
#ifndef SMTP_PROTO_IP_H
#define SMTP_PROTO_IP_H

#include <netinet/in.h>
#include <stdbool.h>

/* `bytes`: 4 of AF_INET or 16 of AF_INET6, network order; false for another family ("" then). */
bool ip_text_of(int family, const void *bytes, char out[static INET6_ADDRSTRLEN]);
/* The same from text that may have another form; false when it is no address of that family. */
bool ip_text_again(int family, const char *text, char out[static INET6_ADDRSTRLEN]);

#endif
