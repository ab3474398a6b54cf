/* SPDX-License-Identifier: MIT
 * tls.c: OpenSSL on memory. See tls.h.
 *
 * What came is given to OpenSSL by one BIO, what is to be sent is collected from another; both keep their memory. */
#include "tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

enum { PLAIN = 16 * 1024 };

struct tls {
    SSL_CTX *context;
    uint8_t plain[PLAIN];
    bytes sealed;
};

struct tls_conn {
    tls *tls;
    SSL *ssl;
    BIO *in, *out;
};

tls *tls_new(const char *ca_file, const char *alpn) {
    tls *t = must(calloc(1, sizeof *t));
    t->context = must(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_min_proto_version(t->context, TLS1_3_VERSION);
    SSL_CTX_set_verify(t->context, SSL_VERIFY_PEER, NULL);
    /* The order of gRPC's own libraries; OpenSSL's has AES-256 first. */
    SSL_CTX_set_ciphersuites(t->context, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256");
    if (SSL_CTX_load_verify_locations(t->context, ca_file, NULL) != 1) {
        tls_free(t);
        return NULL;
    }
    if (alpn)
        SSL_CTX_set_alpn_protos(t->context, (const unsigned char *)alpn, (unsigned)strlen(alpn));
    return t;
}

void tls_free(tls *t) {
    if (!t)
        return;
    SSL_CTX_free(t->context);
    bytes_free(&t->sealed);
    free(t);
}

tls_conn *tls_conn_new(tls *t) {
    tls_conn *c = must(calloc(1, sizeof *c));
    c->tls = t;
    c->ssl = must(SSL_new(t->context));
    c->in = must(BIO_new(BIO_s_mem()));
    c->out = must(BIO_new(BIO_s_mem()));
    SSL_set_bio(c->ssl, c->in, c->out);
    SSL_set_connect_state(c->ssl);
    return c;
}

void tls_conn_free(tls_conn *c) {
    if (!c)
        return;
    SSL_free(c->ssl);
    free(c);
}

void tls_feed(tls_conn *c, span sealed) {
    BIO_write(c->in, sealed.at, (int)sealed.len);
}

/* false; and why, where it is not that bytes are missing. */
static bool no_more(tls_conn *c, int result, const char **why) {
    int error = SSL_get_error(c->ssl, result);
    if (error == SSL_ERROR_ZERO_RETURN)
        *why = "TLS was closed";
    else if (error != SSL_ERROR_WANT_READ)
        *why = ERR_peek_error() ? ERR_reason_error_string(ERR_peek_error()) : "TLS failed";
    ERR_clear_error();
    return false;
}

bool tls_shake(tls_conn *c, const char **why) {
    int result = SSL_do_handshake(c->ssl);
    return result == 1 || no_more(c, result, why);
}

bool tls_read(tls_conn *c, span *plain, const char **why) {
    int got = SSL_read(c->ssl, c->tls->plain, PLAIN);
    if (got <= 0)
        return no_more(c, got, why);
    *plain = (span){c->tls->plain, (size_t)got};
    return true;
}

span tls_seal(tls_conn *c, span plain) {
    if (plain.len)
        SSL_write(c->ssl, plain.at, (int)plain.len); /* memory takes all of it */
    bytes *sealed = &c->tls->sealed;
    sealed->len = 0;
    for (size_t more; (more = BIO_ctrl_pending(c->out)) > 0;) {
        uint8_t *to = bytes_room(sealed, more);
        int got = BIO_read(c->out, to, (int)more);
        if (got <= 0)
            break;
        sealed->len += (size_t)got;
    }
    return span_bytes(sealed);
}
