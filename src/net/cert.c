/* SPDX-License-Identifier: MIT
 * See cert.h. A certificate is put together field by field, because what browsers and OpenSSL's own checks want of it is little:
 * the names in subjectAltName (a common name alone is not looked at any more), whether it may sign, and what it is for. */
#include "net/cert.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static int failed(tr_error *error) {
  const char *why = ERR_reason_error_string(ERR_peek_error());
  ERR_clear_error();
  return tr_error_set(error, why ? TR_EINVALID : TR_EMEMORY, "no certificate could be made: %s", why ? why : "out of memory");
}

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
  X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
  bool ok = extension && X509_add_ext(cert, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return ok;
}

/* By its own type, not by OpenSSL's text form: a name with a comma in it would be two. */
static bool add_alternatives(X509 *cert, const char *const *names) {
  GENERAL_NAMES *list = GENERAL_NAMES_new();
  bool ok = list != NULL;
  for (; ok && names && *names; names++) {
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_OCTET_STRING *number = a2i_IPADDRESS(*names);
    ASN1_STRING *text = number ? NULL : ASN1_IA5STRING_new();
    ok = name && (number || (text && ASN1_STRING_set(text, *names, -1)));
    if (ok) GENERAL_NAME_set0_value(name, number ? GEN_IPADD : GEN_DNS, number ? (void *)number : (void *)text);
    else ASN1_STRING_free(number ? number : text);
    if (!ok || !sk_GENERAL_NAME_push(list, name)) {
      GENERAL_NAME_free(name);
      ok = false;
    }
  }
  ok = ok && (sk_GENERAL_NAME_num(list) == 0 || X509_add1_ext_i2d(cert, NID_subject_alt_name, list, 0, 0) == 1);
  GENERAL_NAMES_free(list);
  return ok;
}

static bool set_serial(X509 *cert) {
  BIGNUM *number = BN_new();
  bool ok = number && BN_rand(number, 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
  BN_free(number);
  return ok;
}

static bool fill(X509 *cert, X509 *issuer, EVP_PKEY *key, const tr_cert_request *r) {
  static const char *const usage[] = { "critical,keyCertSign,cRLSign", "critical,digitalSignature", "critical,digitalSignature" };
  X509_NAME *subject = X509_get_subject_name(cert);
  if (!X509_set_version(cert, 2) || !set_serial(cert) || !X509_gmtime_adj(X509_getm_notBefore(cert), r->from) ||
      !X509_gmtime_adj(X509_getm_notAfter(cert), r->until) || !X509_set_pubkey(cert, key) ||
      !X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)r->name, -1, -1, 0) ||
      !X509_set_issuer_name(cert, X509_get_subject_name(issuer)))
    return false;
  return add_extension(cert, issuer, NID_basic_constraints, r->kind == TR_CERT_CA ? "critical,CA:TRUE" : "critical,CA:FALSE") &&
         add_extension(cert, issuer, NID_key_usage, usage[r->kind]) &&
         (r->kind == TR_CERT_CA || add_extension(cert, issuer, NID_ext_key_usage, r->kind == TR_CERT_HOST ? "serverAuth" : "clientAuth")) &&
         add_extension(cert, issuer, NID_subject_key_identifier, "hash") &&
         (issuer == cert || add_extension(cert, issuer, NID_authority_key_identifier, "keyid")) && add_alternatives(cert, r->names);
}

static bool take(BIO *bio, tr_buf *out) {
  char *bytes;
  long n = BIO_get_mem_data(bio, &bytes);
  return n > 0 && tr_buf_append(out, bytes, (size_t)n);
}

static bool write_pem(X509 *cert, EVP_PKEY *key, tr_buf *cert_out, tr_buf *key_out) {
  BIO *a = BIO_new(BIO_s_mem()), *b = BIO_new(BIO_s_mem());
  bool ok = a && b && PEM_write_bio_X509(a, cert) && PEM_write_bio_PrivateKey(b, key, NULL, NULL, 0, NULL, NULL) && take(a, cert_out) && take(b, key_out);
  BIO_free(a);
  BIO_free(b); /* which wipes nothing, but neither does the process that has just made the key */
  return ok;
}

/* Who signs; NULL where the PEM is not one. */
static bool read_issuer(tr_slice cert_pem, tr_slice key_pem, X509 **cert, EVP_PKEY **key) {
  BIO *a = BIO_new_mem_buf(cert_pem.p, (int)cert_pem.n), *b = BIO_new_mem_buf(key_pem.p, (int)key_pem.n);
  *cert = a ? PEM_read_bio_X509(a, NULL, NULL, NULL) : NULL;
  *key = b ? PEM_read_bio_PrivateKey(b, NULL, NULL, NULL) : NULL;
  BIO_free(a);
  BIO_free(b);
  return *cert && *key && X509_check_private_key(*cert, *key) == 1;
}

int tr_cert_make(const tr_cert_request *request, tr_slice ca_cert, tr_slice ca_key, tr_buf *cert_out, tr_buf *key_out, tr_error *error) {
  X509 *issuer = NULL, *cert = NULL;
  EVP_PKEY *issuer_key = NULL, *key = NULL;
  int rc = 0;
  ERR_clear_error();
  if (ca_cert.n && !read_issuer(ca_cert, ca_key, &issuer, &issuer_key)) {
    rc = tr_error_set(error, TR_EINVALID, "the CA's certificate and key are not a pair in PEM");
    goto out;
  }
  cert = X509_new();
  key = EVP_EC_gen("P-256");
  if (!cert || !key || !fill(cert, issuer ? issuer : cert, key, request) ||
      !X509_sign(cert, issuer_key ? issuer_key : key, EVP_sha256()) || !write_pem(cert, key, cert_out, key_out))
    rc = failed(error);
out:
  ERR_clear_error();
  EVP_PKEY_free(key);
  X509_free(cert);
  EVP_PKEY_free(issuer_key);
  X509_free(issuer);
  return rc;
}
