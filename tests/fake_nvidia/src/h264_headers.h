/* NVDEC gets slices and a structure; a software decoder wants the SPS and PPS that the structure was read from. */
#ifndef FAKENV_H264_HEADERS_H
#define FAKENV_H264_HEADERS_H
#include <stdint.h>

#include <ffnvcodec/dynlink_cuda.h>
#include <ffnvcodec/dynlink_nvcuvid.h>

enum { H264_HEADERS = 1024 };
int h264_headers(uint8_t out[H264_HEADERS], const CUVIDPICPARAMS *p); /* bytes, or -1: cannot be rebuilt */
#endif
