/* SPDX-License-Identifier: MIT
 * What went wrong with TLS, for people: OpenSSL's codes are about its functions; what helps is which end has to change what. The
 * first bytes of the peer tell most. */
#include "net/tls_internal.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>

static bool starts(const tr_tls_conn *t, const char *text) {
  size_t n = strlen(text);
  return t->first_len >= n && memcmp(t->first, text, n) == 0;
}

static const char *stranger(const tr_tls_conn *t) {
  if (t->first_len == 0 || (t->first[0] >= 0x14 && t->first[0] <= 0x18)) return NULL;
  if (!t->tls->server) return "the host does not speak TLS at this port (without tls: before the address it would be spoken to in plaintext)";
  if (starts(t, "PRI ")) return "the peer speaks HTTP/2 in plaintext, and this port TLS (it has to connect to tls:HOST:PORT)";
  if (starts(t, "GET ") || starts(t, "POST ")) return "the peer speaks HTTP/1 in plaintext, and this port TLS";
  return "the peer does not speak TLS";
}

/* What the peer said by an alert; our names of what is wrong at this end. */
static const char *alert(const tr_tls_conn *t, int reason) {
  bool server = t->tls->server;
  switch (reason) {
  case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
  case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
  case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    return server ? "the peer does not believe our certificate (its --tls-ca has to be the CA that signed it)"
                  : "the host does not believe our certificate (its --tls-client-ca has to be the CA that signed it)";
  case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED: return "the peer says that our certificate has expired";
  case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
  case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
    return server ? "the peer has no cipher or certificate in common with us" : "the host wants a certificate of ours (--tls-cert, --tls-key)";
  case SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL: return "the host does not offer HTTP/2 (ALPN h2)";
  case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION: return "the peer does not speak TLS 1.2 or 1.3";
  case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return "the peer has shown no certificate (--tls-client-ca asks for one)";
  case SSL_R_UNSUPPORTED_PROTOCOL: return "the peer offers no TLS 1.2 or 1.3";
  case SSL_R_NO_APPLICATION_PROTOCOL: return "the peer does not ask for HTTP/2 (ALPN h2)";
  default: return NULL;
  }
}

/* Whose certificate it is, in short: its first names. */
void tr_tls_note_names(tr_tls_conn *t, X509 *cert) {
  char *out = t->names;
  size_t at = 0, size = sizeof t->names;
  GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
  out[0] = 0;
  for (int i = 0; i < sk_GENERAL_NAME_num(names) && at + 2 < size; i++) {
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_DNS) continue;
    int n = snprintf(out + at, size - at, "%s%.60s", at ? ", " : "", (const char *)ASN1_STRING_get0_data(name->d.dNSName));
    at += n < 0 ? 0 : (size_t)n;
  }
  GENERAL_NAMES_free(names);
}

static bool certificate(tr_tls_conn *t) {
  long verdict = SSL_get_verify_result(t->ssl);
  const char *whose = t->tls->server ? "the peer's" : "the host's";
  if (verdict == X509_V_OK) return false;
  switch (verdict) {
  case X509_V_ERR_HOSTNAME_MISMATCH:
  case X509_V_ERR_IP_ADDRESS_MISMATCH:
    snprintf(t->reason, sizeof t->reason, "the host's certificate is for another name (%s), not for %.*s", t->names[0] ? t->names : "none",
             (int)(strrchr(t->peer, ':') - t->peer - 4), t->peer + 4); /* tls:NAME:PORT */
    break;
  case X509_V_ERR_CERT_HAS_EXPIRED: snprintf(t->reason, sizeof t->reason, "%s certificate has expired", whose); break;
  case X509_V_ERR_CERT_NOT_YET_VALID: snprintf(t->reason, sizeof t->reason, "%s certificate is not valid yet (is the clock right?)", whose); break;
  default:
    snprintf(t->reason, sizeof t->reason, "%s certificate is not to be believed: %s (%s)", whose, X509_verify_cert_error_string(verdict),
             t->tls->server ? "--tls-client-ca names the CA that signed it" : "--tls-ca names the CA that signed it");
  }
  return true;
}

void tr_tls_explain(tr_tls_conn *t, int result) {
  unsigned long code = ERR_peek_error();
  const char *text = NULL;
  if (t->reason[0]) return;
  if (!t->open && (text = stranger(t))) snprintf(t->reason, sizeof t->reason, "%s", text);
  else if ((text = alert(t, ERR_GET_REASON(code)))) snprintf(t->reason, sizeof t->reason, "%s", text);
  else if (!t->open && certificate(t)) text = t->reason;
  else if ((text = ERR_reason_error_string(code))) snprintf(t->reason, sizeof t->reason, "TLS: %s", text);
  else snprintf(t->reason, sizeof t->reason, "TLS broke (%d)", SSL_get_error(t->ssl, result));
  ERR_clear_error();
}
