"""`cupyx.scipy.signal`: functions of the op table, and what is written by hand out of them."""

from __future__ import annotations

from typing import Any

from ...._generated.cupyx_scipy_signal import *  # noqa: F403
from . import windows as windows
from ._czt import CZT as CZT
from ._czt import ZoomFFT as ZoomFFT
from ._design import bilinear as bilinear
from ._design import buttap as buttap
from ._design import butter as butter
from ._design import buttord as buttord
from ._design import cheb1ap as cheb1ap
from ._design import cheb1ord as cheb1ord
from ._design import cheb2ap as cheb2ap
from ._design import cheb2ord as cheb2ord
from ._design import ellipord as ellipord
from ._design import freqs as freqs
from ._design import freqz as freqz
from ._design import gammatone as gammatone
from ._design import iirfilter as iirfilter
from ._design import kaiser_atten as kaiser_atten
from ._design import kaiser_beta as kaiser_beta
from ._design import kaiserord as kaiserord
from ._design import lp2bp as lp2bp
from ._design import lp2bp_zpk as lp2bp_zpk
from ._design import lp2bs as lp2bs
from ._design import lp2hp as lp2hp
from ._design import lp2lp as lp2lp
from ._design import lp2lp_zpk as lp2lp_zpk
from ._design import minimum_phase as minimum_phase
from ._design import normalize as normalize
from ._design import sos2zpk as sos2zpk
from ._design import ss2zpk as ss2zpk
from ._design import tf2sos as tf2sos
from ._design import tf2ss as tf2ss
from ._design import tf2zpk as tf2zpk
from ._design import zpk2ss as zpk2ss
from ._flagged import BadCoefficients as BadCoefficients
from ._signals import argrelextrema as argrelextrema
from ._signals import choose_conv_method as choose_conv_method
from ._signals import decimate as decimate
from ._signals import deconvolve as deconvolve
from ._signals import find_peaks as find_peaks
from ._signals import gausspulse as gausspulse
from ._signals import medfilt as medfilt
from ._signals import resample as resample
from ._signals import sweep_poly as sweep_poly
from ._simulation import bode as bode
from ._simulation import cont2discrete as cont2discrete
from ._simulation import dbode as dbode
from ._simulation import dfreqresp as dfreqresp
from ._simulation import dimpulse as dimpulse
from ._simulation import dlsim as dlsim
from ._simulation import dstep as dstep
from ._simulation import freqresp as freqresp
from ._simulation import impulse as impulse
from ._simulation import lsim as lsim
from ._simulation import place_poles as place_poles
from ._simulation import step as step
from ._spectral import coherence as coherence
from ._spectral import csd as csd
from ._spectral import istft as istft
from ._spectral import periodogram as periodogram
from ._spectral import spectrogram as spectrogram
from ._spectral import stft as stft
from ._spectral import welch as welch
from ._systems import StateSpace as StateSpace
from ._systems import TransferFunction as TransferFunction
from ._systems import ZerosPolesGain as ZerosPolesGain
from ._systems import abcd_normalize as abcd_normalize
from ._systems import dlti as dlti
from ._systems import lti as lti
from ._wavelets import cwt as cwt
from ._wavelets import morlet as morlet
from ._wavelets import morlet2 as morlet2
from ._wavelets import qmf as qmf
from ._wavelets import ricker as ricker


def __getattr__(name: str) -> Any:
    from ....cupy._missing import refuse_attribute

    return refuse_attribute("cupyx.scipy.signal", name)
