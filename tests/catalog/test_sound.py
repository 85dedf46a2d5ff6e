"""The synthesised pieces: the same every time, bounded, and telling one kind of song from another.

Songs are told apart by what can be measured in the sound itself, not by what the composer meant.
"""

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from scipy import signal

from catalog.models import PIECE_SECONDS, Genre, Song
from catalog.sound.composition import FASTEST, SLOWEST, compose, traits_of
from catalog.sound.pieces import piece_file, song_traits
from catalog.sound.synthesis import PEAK, SAMPLE_RATE, render

CLUB = {
    "tempo": 128,
    "time_signature": 4,
    "key": 9,
    "mode": 0,
    "energy": 0.92,
    "valence": 0.6,
    "acousticness": 0.02,
    "danceability": 0.82,
    "instrumentalness": 0.7,
}
FIRESIDE = {
    "tempo": 76,
    "time_signature": 4,
    "key": 2,
    "mode": 1,
    "energy": 0.22,
    "valence": 0.4,
    "acousticness": 0.93,
    "danceability": 0.35,
    "instrumentalness": 0.1,
}


def heard(features, genre="", seed=1, seconds=PIECE_SECONDS):
    return render(compose(traits_of(features, genre=genre, seed=seed), seconds))


def onset_strength(samples, hop=480):
    """How much louder each hundredth of a second is than the last, summed over frequencies."""
    _, _, spectrum = signal.stft(samples.mean(axis=1), SAMPLE_RATE, nperseg=2 * hop, noverlap=hop)
    return np.maximum(np.diff(np.log1p(200 * np.abs(spectrum)), axis=1), 0).sum(axis=0)


def onsets_a_second(samples):
    strength = onset_strength(samples)
    peaks, _ = signal.find_peaks(strength, height=0.15 * strength.max(), distance=6)
    return len(peaks) / (len(samples) / SAMPLE_RATE)


def pulse(samples, tempo):
    """How well the onsets repeat at this tempo's beat, -1..1."""
    strength = onset_strength(samples)
    strength = np.convolve(strength - strength.mean(), np.hanning(7), mode="same")
    lag = round(100 * 60 / tempo)
    return np.corrcoef(strength[:-lag], strength[lag:])[0, 1]


def centroid(samples):
    spectrum = np.abs(np.fft.rfft(samples.mean(axis=1)))
    return np.average(np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE), weights=spectrum)


def chroma(samples):
    """Energy of the twelve pitch classes from C, of what sounds between 100 Hz and 1 kHz."""
    spectrum = np.abs(np.fft.rfft(samples.mean(axis=1))) ** 2
    frequency = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    within = (frequency > 100) & (frequency < 1000)
    classes = np.round(69 + 12 * np.log2(frequency[within] / 440)).astype(int) % 12
    return np.bincount(classes, weights=spectrum[within], minlength=12)


@pytest.fixture(scope="module", params=["club", "fireside", "unknown", "extreme", "silent"])
def samples(request):
    features = {
        "club": CLUB,
        "fireside": FIRESIDE,
        "unknown": {},
        "extreme": dict.fromkeys(CLUB, 1.0) | {"tempo": 400, "key": 11, "time_signature": 16},
        "silent": dict.fromkeys(CLUB, 0),
    }
    return heard(features[request.param])


@pytest.fixture(scope="module")
def club():
    return heard(CLUB, genre="electronic")


@pytest.fixture(scope="module")
def fireside():
    return heard(FIRESIDE, genre="folk")


class TestSamples:
    def test_thirty_seconds_in_stereo(self, samples):
        assert samples.shape == (PIECE_SECONDS * SAMPLE_RATE, 2)
        assert samples.dtype == np.float32
        assert np.isfinite(samples).all()

    def test_loud_enough_and_never_too_loud(self, samples):
        assert np.abs(samples).max() == pytest.approx(PEAK)
        assert 0.05 < samples.std() < 0.35
        assert np.mean(np.abs(samples) > 0.98 * PEAK) < 0.001

    def test_no_silence_but_at_the_ends(self, samples):
        seconds = samples.reshape(PIECE_SECONDS, SAMPLE_RATE, 2).std(axis=(1, 2))
        assert seconds[:-3].min() > 0.1 * seconds.max()
        assert np.abs(samples[[0, -1]]).max() < 0.001

    def test_centred(self, samples):
        assert np.abs(samples.mean(axis=0)).max() < 0.001

    def test_both_sides_are_alike_but_not_the_same(self, samples):
        left, right = samples.T
        assert 0.4 < np.corrcoef(left, right)[0, 1] < 0.999
        assert left.std() == pytest.approx(right.std(), rel=0.35)


class TestSameAndDifferent:
    def test_the_same_song_is_the_same_to_the_last_sample(self):
        assert np.array_equal(heard(CLUB, seconds=8), heard(CLUB, seconds=8))

    def test_two_songs_of_like_features_differ(self):
        first, second = heard(CLUB, seed=1, seconds=8), heard(CLUB, seed=2, seconds=8)
        assert abs(np.corrcoef(first[:, 0], second[:, 0])[0, 1]) < 0.9

    @pytest.mark.parametrize("name", sorted(CLUB))
    def test_every_feature_is_heard(self, name):
        usual = traits_of(CLUB | {"energy": 0.5, "acousticness": 0.4, "danceability": 0.5, "valence": 0.6}, seed=3)
        other = {"tempo": 90.0, "time_signature": 3.0, "key": 4.0, "mode": 1.0}.get(name, 0.05)
        first, second = (render(compose(traits, 16)) for traits in (usual, replace(usual, **{name: other})))
        assert not np.array_equal(first, second)

    def test_learning_one_feature_leaves_the_rest(self):
        nothing = traits_of({}, seed=5)
        assert traits_of({"energy": 0.9}, seed=5) == replace(nothing, energy=0.9)

    def test_a_genre_fills_what_nobody_measured(self):
        metal, ambient = (traits_of({}, genre=genre, seed=5) for genre in ("Black Metal", "Dark Ambient"))
        assert metal.energy > ambient.energy
        assert metal.tempo > ambient.tempo
        assert traits_of({"energy": 0.3}, genre="Black Metal", seed=5).energy == 0.3


class TestMusic:
    def test_a_club_track_is_brighter_busier_and_denser_than_a_song_by_the_fire(self, club, fireside):
        assert centroid(club) > 1.4 * centroid(fireside)
        assert onsets_a_second(club) > 1.4 * onsets_a_second(fireside)
        assert club.std() > 1.15 * fireside.std()

    @pytest.mark.parametrize("tempo", [72, 100, 128, 160])
    def test_it_beats_at_its_tempo(self, tempo):
        samples = heard(CLUB | {"tempo": tempo}, seconds=15)
        off = [pulse(samples, tempo * ratio) for ratio in (0.88, 0.93, 1.08, 1.13)]
        assert pulse(samples, tempo) > max(0.3, *off)

    @pytest.mark.parametrize("key", [0, 5, 11])
    @pytest.mark.parametrize("valence", [0.2, 0.8])
    def test_major_and_minor_have_their_thirds(self, key, valence):
        for mode, third, other in ((1, 4, 3), (0, 3, 4)):
            classes = np.roll(
                chroma(heard(FIRESIDE | {"mode": mode, "key": key, "valence": valence}, seconds=15)), -key
            )
            assert classes[third] > 2 * classes[other]

    def test_it_ends_on_its_key(self, fireside):
        classes = np.roll(chroma(fireside[-2 * SAMPLE_RATE :]), -FIRESIDE["key"])
        assert np.argmax(classes) in (0, 4, 7)

    def test_energy_brings_brightness_step_by_step(self):
        centroids = [centroid(heard(CLUB | {"energy": energy}, seconds=10)) for energy in (0.1, 0.5, 0.95)]
        assert centroids == sorted(centroids)

    def test_drums_come_with_energy_alone(self):
        drums = {"kick", "snare", "clap", "hat"}
        assert not drums & set(compose(traits_of(CLUB | {"energy": 0.1}, seed=1), 30).parts)
        assert drums & set(compose(traits_of(CLUB, seed=1), 30).parts)

    @pytest.mark.parametrize("tempo", [0, 3, 30, 59.9, 60, 180, 181, 400])
    def test_a_tempo_nobody_can_play_is_halved_or_doubled(self, tempo):
        traits = traits_of({"tempo": tempo}, seed=1)
        assert SLOWEST <= traits.tempo <= FASTEST
        ratio = np.log2(traits.tempo / tempo) if tempo else 0
        assert ratio == pytest.approx(round(ratio))


@pytest.mark.django_db
class TestFiles:
    @pytest.fixture(autouse=True)
    def folder(self, settings, tmp_path):
        settings.AUDIO_CACHE_DIR = tmp_path / "audio"

    @pytest.fixture
    def song(self):
        genre = Genre.objects.create(name="House")
        return Song.objects.create(title="Made", source_id="s1", genre=genre, tempo=124, energy=0.8)

    def test_the_file_decodes_to_the_piece(self, song):
        samples, rate = soundfile.read(piece_file(song=song))
        wanted = render(compose(song_traits(song), PIECE_SECONDS))
        assert rate == SAMPLE_RATE
        assert len(samples) == len(wanted)
        assert np.abs(samples).max() < 1
        assert np.corrcoef(samples[:, 0], wanted[:, 0])[0, 1] > 0.9

    def test_it_is_made_once(self, song):
        first = piece_file(song=song)
        made_at = first.stat().st_mtime_ns
        assert piece_file(song=Song.objects.get(pk=song.pk)) == first
        assert first.stat().st_mtime_ns == made_at

    def test_an_edited_feature_gives_a_new_piece_and_drops_the_old(self, song, settings):
        before = piece_file(song=song)
        neighbour = piece_file(song=Song.objects.create(pk=song.pk * 10 + 1, title="Of a like number"))
        song.energy = 0.2
        after = piece_file(song=song)
        assert {path for path in settings.AUDIO_CACHE_DIR.rglob("*") if path.is_file()} == {after, neighbour}
        assert before != after

    def test_the_same_song_of_a_dataset_sounds_the_same_under_another_number(self, song):
        traits = song_traits(song)
        song.delete()
        again = Song.objects.create(title="Imported again", source_id="s1", genre=song.genre, tempo=124, energy=0.8)
        assert song_traits(again) == traits

    def test_two_who_ask_at_once_get_one_whole_file(self, song, settings):
        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(lambda _: piece_file(song=song), range(2))
        assert first == second
        assert [path for path in settings.AUDIO_CACHE_DIR.rglob("*") if path.is_file()] == [first]
        assert soundfile.info(first).duration == pytest.approx(PIECE_SECONDS, abs=0.1)

    def test_nothing_half_made_is_left_where_the_disk_fails(self, song, settings):
        folder = piece_file(song=song).parent
        shutil.rmtree(folder)
        folder.write_text("a file where the folder should be")
        with pytest.raises(OSError, match=folder.name):
            piece_file(song=song)
        folder.unlink()
        assert piece_file(song=song).is_file()
