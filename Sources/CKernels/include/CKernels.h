#pragma once

#include "DirectConvolution.h"
#include "Epilogue.h"
#include "MinimalFiltering.h"
#include "Pooling.h"
#include "Processor.h"
#include "RowConvolution.h"
#include "RowSums.h"
