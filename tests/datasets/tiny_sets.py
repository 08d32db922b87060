"""Every data set in miniature: annotation files of the exact published format with a handful of
rows, and empty files where clips would lie."""

import json
from pathlib import Path

from semisupcon.datasets.magnatagatune import TOP50
from semisupcon.datasets.nsynth import FAMILIES


def write(root: Path, name: str, text: str) -> None:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode())


def touch(root: Path, *names: str) -> None:
    for name in names:
        write(root, name, "")


def gtzan(root):
    for name, take in {"train": 0, "valid": 1, "test": 2}.items():
        lines = [f"{genre}/{genre}.{take:05d}.wav" for genre in ("blues", "jazz", "rock")]
        write(root, f"{name}_filtered.txt", "\n".join(lines))
        touch(root, *(f"genres/{line}" for line in lines))


def esc50(root):
    rows = ["filename,fold,target,category,esc10,src_file,take"]
    for fold in range(1, 6):
        rows += [
            f"{fold}-100-A-0.wav,{fold},0,dog,True,100,A",
            f"{fold}-200-B-14.wav,{fold},14,chirping_birds,False,200,B",
        ]
        touch(root, f"audio/{fold}-100-A-0.wav", f"audio/{fold}-200-B-14.wav")
    write(root, "meta/esc50.csv", "\n".join(rows) + "\n")


def mtat(root):
    tags = ["no voice", "singer", *(t for t in TOP50 if t != "no voice")]
    clips = {
        "2": ("f/bach-cantatas-01-aria-30-59.mp3", {"singer"}),
        "6": ("f/bach-cantatas-01-aria-146-175.mp3", {"guitar", "choral"}),
    }
    clips |= {
        "7": ("0/band-songs-02-one-0-29.mp3", {"rock", "no voice"}),
        "9": ("c/other-disc-01-two-0-29.mp3", {"slow"}),
    }
    rows = ["\t".join(f'"{name}"' for name in ("clip_id", *tags, "mp3_path"))]
    for clip, (path, own) in clips.items():
        rows.append(
            "\t".join(f'"{field}"' for field in (clip, *(str(int(t in own)) for t in tags), path))
        )
        touch(root, path)
    write(root, "annotations_final.csv", "\n".join(rows) + "\n")
    for part, names in {"train": ["7"], "valid": ["9"], "test": ["6"]}.items():
        write(
            root,
            f"{part}_list_pub.txt",
            "".join(clips[name][0].replace(".mp3", ".npy\n") for name in names),
        )


def mtat_index(root):
    paths = {
        "7": "0/band-songs-02-one-0-29.mp3",
        "9": "c/other-disc-01-two-0-29.mp3",
        "2": "f/bach-cantatas-01-aria-30-59.mp3",
    }
    write(root, "index_mtt.tsv", "".join(f"{clip}\t{path}\n" for clip, path in paths.items()))
    for position, (part, clip) in enumerate({"train": "7", "val": "9", "test": "2"}.items()):
        write(root, f"{part}_gt_mtt.tsv", f"{clip}\t{[float(i == position) for i in range(50)]}\n")
        touch(root, paths[clip])


def mtg(subset, tags):
    def build(root):
        for number, part in enumerate(("train", "validation", "test")):
            rows = ["TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS"]
            for i in range(len(tags)):
                track = 100 * number + i
                rows.append(
                    f"track_{track:07d}\tartist_{number:06d}\talbum_0\t{track % 100:02d}/{track}.mp3\t340.1\t"
                    + "\t".join(tags[: i + 1])
                )
                touch(root, f"audio/{track % 100:02d}/{track}.mp3")
            write(
                root,
                f"data/splits/split-0/autotagging_{subset}-{part}.tsv",
                "".join(f"{row}\r\n" for row in rows),
            )

    return build


def giantsteps(root):
    keys = {
        "1": "D# minor\t2",
        "3": "A major\t1",
        "4": "-\t0",
        "5": "C minor / F# minor\t2",
    } | dict.fromkeys("26789", "A major\t2")
    mtg_folder = "giantsteps-mtg-key-dataset"
    write(
        root,
        f"{mtg_folder}/annotations/annotations.txt",
        "ID\tMANUAL KEY\tC\r\n" + "".join(f"{i}\t{key}\r\n" for i, key in keys.items()),
    )
    touch(root, *(f"{mtg_folder}/audio/{i}.LOFI.mp3" for i in keys))
    for i, key in {"91": "Eb minor", "92": "A major"}.items():
        write(root, f"giantsteps-key-dataset/annotations/key/{i}.LOFI.key", key)
        touch(root, f"giantsteps-key-dataset/audio/{i}.LOFI.mp3")


def medleydb(root):
    for version, songs in {
        "v1": ("A_One", "A_Two", "B_One"),
        "v2": ("C_One", "D_One", "E_One"),
    }.items():
        write(root, f"resources/tracklist_{version}.txt", "\n".join(songs) + "\n")
        for song in songs:
            stems = {"S01": "['electric bass', piano]", "S02": "drum set", "S03": "Main System"}
            text = (
                f"artist: Artist {song[0]}\nraw_dir: {song}_RAW\nstem_dir: {song}_STEMS\nstems:\n"
            )
            for stem, instrument in stems.items():
                name = f"{song}_STEM_{stem[1:]}.wav"
                raw = name.replace("STEM", "RAW")
                text += f"  {stem}:\n    filename: {name}\n    instrument: {instrument}\n"
                text += f"    raw:\n      R01:\n        filename: {raw}\n        instrument: {instrument}\n"
                touch(root, f"Audio/{song}/{song}_STEMS/{name}", f"Audio/{song}/{song}_RAW/{raw}")
            write(root, f"data/Metadata/{song}_METADATA.yaml", text)


def speech_commands(root):
    write(root, "validation_list.txt", "yes/aaaa0002_nohash_0.wav\nbed/aaaa0002_nohash_0.wav\n")
    write(root, "testing_list.txt", "yes/aaaa0003_nohash_0.wav\nbed/aaaa0003_nohash_1.wav")
    for word in ("yes", "bed"):
        touch(
            root,
            *(
                f"{word}/aaaa000{speaker}_nohash_{take}.wav"
                for speaker, take in ((1, 0), (1, 1), (2, 0), (3, int(word == "bed")))
            ),
        )
    touch(root, "_background_noise_/pink_noise.wav")


def emomusic(root):
    songs = [
        "song_id,file_name,Artist,Song title,start of the segment (min.sec),end of the segment "
        "(min.sec),Genre,Mediaeval 2013 set"
    ]
    ratings = ["song_id,mean_arousal,std_arousal,mean_valence,std_valence"]
    people = (
        "The New Mystikal Troubadours",
        "Kevin MacLeod",
        "Artist A",
        "Artist B",
        "Artist C",
        "Artist D",
        "Artist E",
        "Artist F",
    )
    for i, artist in enumerate(people, start=2):
        part = "evaluation" if i == 3 else "development"
        songs.append(f'{i},{i}.mp3,"{artist}",Title,0.48,1.33,Blues,{part}')
        ratings.append(f"{i},{2 + i / 2},0.9,{8 - i / 2},0.6")
        touch(root, f"clips_45seconds/{i}.mp3")
    write(root, "songs_info.csv", "\n".join(songs) + "\n")
    write(root, "static_annotations.csv", "\n".join(ratings) + "\n")


def audioset(root):
    write(
        root,
        "class_labels_indices.csv",
        'index,mid,display_name\n0,/m/09x0r,"Speech"\n1,/m/05zppz,"Male speech, man speaking"\n',
    )
    head = "# Segments csv created Sun Mar  5 10:54:31 2017\n# num_ytids=1\n# YTID, start_seconds, end_seconds, positive_labels\n"
    train = "".join(f'id{i:09d}, 30.000, 40.000, "/m/09x0r,/m/05zppz"\n' for i in range(10))
    write(root, "balanced_train_segments.csv", head + train)
    write(root, "eval_segments.csv", head + '-Bfvy_mVMo0, 0.000, 10.000, "/m/05zppz"\n')
    touch(root, *(f"id{i:09d}.wav" for i in range(10)), "-Bfvy_mVMo0.flac")


def fsd50k(root):
    write(root, "FSD50K.ground_truth/vocabulary.csv", "0,Accordion,/m/0mkg\n1,Yell,/m/07sr1lc\n")
    write(
        root,
        "FSD50K.ground_truth/dev.csv",
        'fname,labels,mids,split\n1,"Accordion,Yell","/m/0mkg,/m/07sr1lc",train\n2,Yell,/m/07sr1lc,val\n',
    )
    write(root, "FSD50K.ground_truth/eval.csv", "fname,labels,mids\n3,Accordion,/m/0mkg\n")
    touch(root, "FSD50K.dev_audio/1.wav", "FSD50K.dev_audio/2.wav", "FSD50K.eval_audio/3.wav")


def fsdd(root):
    touch(
        root,
        *(
            f"recordings/{digit}_{speaker}_{take}.wav"
            for digit in (0, 7)
            for speaker in ("george", "theo")
            for take in range(15)
        ),
    )


def vocalset(root):
    write(root, "train_singers_technique.txt", "female1\nfemale3\nmale1\nmale2\n")
    write(root, "test_singers_technique.txt", "female2\nmale3\n")
    for singer in ("f1", "f2", "f3", "m1", "m2", "m3", "m4"):
        for technique in ("belt", "vibrato"):
            for exercise in ("arpeggios", "scales", "long"):
                names = [f"{singer}_{exercise}_{technique}_{vowel}.wav" for vowel in "aeiou"]
                touch(root, *(f"data_by_technique/{technique}/{name}" for name in names))
                touch(
                    root,
                    *(
                        f"data_by_singer/{singer.replace('f', 'female').replace('m', 'male')}/{exercise}/{name}"
                        for name in names
                    ),
                )


def nsynth(root):
    for number, part in enumerate(("train", "valid", "test")):
        notes = {}
        for pitch in (9, 60, 120):
            instrument = f"{FAMILIES[number]}_acoustic_00{number}"
            note = {
                "pitch": pitch,
                "instrument": number,
                "instrument_str": instrument,
                "instrument_family": number,
                "velocity": 100,
            }
            notes[f"{instrument}-{pitch:03d}-100"] = note | {
                "qualities": [1, 0, 0, 0, 0, 0, 0, 0, 0, int(pitch == 60)]
            }
        write(root, f"nsynth-{part}/examples.json", json.dumps(notes, indent=1))
        touch(root, *(f"nsynth-{part}/audio/{name}.wav" for name in notes))


def fma(root):
    rows = [
        ",album,artist,set,set,track,track",
        ",title,id,split,subset,genre_top,title",
        "track_id,,,,,,",
    ]
    tracks = [
        (2, 1, "training", "small", "Hip-Hop"),
        (3, 2, "validation", "medium", "Rock"),
        (5, 3, "test", "small", "Rock"),
    ]
    tracks += [(10, 1, "training", "large", ""), (134, 4, "training", "medium", "Rock")]
    for track, artist, split, subset, genre in tracks:
        rows.append(f'{track},"An album, or\ntwo",{artist},{split},{subset},{genre},Title')
        touch(root, f"fma_medium/000/{track:06d}.mp3")
    write(root, "fma_metadata/tracks.csv", "\n".join(rows) + "\n")


def audiomnist(root):
    touch(
        root,
        *(
            f"data/{s:02d}/{digit}_{s:02d}_{take}.wav"
            for s in range(1, 16)
            for digit in (0, 9)
            for take in range(10)
        ),
    )


def librispeech(root):
    names = [
        (speaker, chapter, i)
        for speaker in (19, 100)
        for chapter in (7, 8, 9, 11, 12)
        for i in range(4)
    ]
    touch(root, *(f"LibriSpeech/train-clean-100/{s}/{c}/{s}-{c}-{i:04d}.flac" for s, c, i in names))


def voxceleb1(root):
    paths = {
        "1": "id10001/1zcIwhmdeo4/00001.wav",
        "2": "id10001/7gWzIy6yIIk/00001.wav",
        "3": "id11251/na8-QEFmj44/00001.wav",
    }
    write(root, "iden_split.txt", "".join(f"{part} {path}\n" for part, path in paths.items()))
    touch(root, *(f"wav/{path}" for path in paths.values()))


def crema_d(root):
    touch(
        root,
        *(
            f"AudioWAV/{actor}_DFA_{emotion}_XX.wav"
            for actor in range(1001, 1021)
            for emotion in ("ANG", "SAD")
        ),
    )


def fsdkaggle2018(root):
    train = [
        f"{i:08x}.wav,{'Bark' if i % 2 else 'Cello'},{i % 3 == 0:d},{i},CC0" for i in range(20)
    ]
    write(
        root,
        "FSDKaggle2018.meta/train_post_competition.csv",
        "\n".join(["fname,label,manually_verified,freesound_id,license", *train]),
    )
    test = "fname,label,usage,freesound_id,license\nffffffff.wav,Bark,Public,99,CC0\n"
    write(root, "FSDKaggle2018.meta/test_post_competition_scoring_clips.csv", test)
    touch(
        root,
        *(f"FSDKaggle2018.audio_train/{i:08x}.wav" for i in range(20)),
        "FSDKaggle2018.audio_test/ffffffff.wav",
    )


def msd_top50(root):
    for number, part in enumerate(("train", "val", "test")):
        track = f"TR{'ABC'[number] * 3}AK128F9318786"
        write(root, f"{part}_gt_msd.tsv", f"{track}\t{[int(i == number) for i in range(50)]}\n")
        touch(root, f"{track[2]}/{track[3]}/{track[4]}/{track}.mp3")


def scores(root):
    rows = ["path,split,group,tags,key,density,genre,title"]
    for i, split in enumerate(("train", "train", "train", "val", "val", "test", "test")):
        tags = ("bowed;drums", "", "piano")[i % 3]
        key = ("Eb minor", "C major", "")[i % 3]
        genre = ("reel", "strathspey", "chorale", "")[i % 4]
        title = '"A title, ""quoted"""'
        rows.append(f"audio/{i:06d}.flac,{split},tune {i},{tags},{key},{i - 2}.5,{genre},{title}")
        touch(root, f"audio/{i:06d}.flac")
    write(root, "labels.csv", "\n".join(rows) + "\n")


def csv(root):
    rows = [
        "path,label,artist",
        *(f"clips/{i}.wav,{'piano' if i % 2 else 'Bass drum'},artist {i % 7}" for i in range(40)),
    ]
    write(root, "manifest.csv", "\n".join(rows) + "\n")
    touch(root, *(f"clips/{i}.flac" for i in range(40)))


def events(root):
    rows = [
        "path,start,end,label",
        *(
            f"clips/{i // 2}.wav,{i % 2}.5,{i % 2}.75,{'dog' if i % 3 else 'car'}"
            for i in range(40)
        ),
    ]
    write(root, "events.csv", "\n".join(rows) + "\n")
    touch(root, *(f"clips/{i}.flac" for i in range(20)))


def class_folders(root):
    touch(
        root,
        *(f"{name}/deeper/{i}.wav" for name in ("cat", "dog", "owl") for i in range(20)),
        "_noise/1.wav",
    )


BUILDERS = {
    "audiomnist_digit": audiomnist, "audiomnist_speaker": audiomnist, "audioset_balanced": audioset, "class_folders": class_folders,
    "crema_d": crema_d, "csv": csv, "emomusic": emomusic, "esc10": esc50, "esc50": esc50, "events": events, "fma": fma, "fsd50k": fsd50k,
    "fsdd_digit": fsdd, "fsdd_speaker": fsdd, "fsdkaggle2018": fsdkaggle2018, "giantsteps": giantsteps, "gtzan": gtzan,
    "librispeech_speaker": librispeech, "medleydb": medleydb, "medleydb_raw": medleydb, "msd_top50": msd_top50, "mtat_all": mtat, "mtat_top50": mtat,
    "mtg_genre": mtg("genre", ("genre---rock", "genre---pop")), "mtg_instr": mtg("instrument", ("instrument---bass", "instrument---piano")),
    "mtg_mood": mtg("moodtheme", ("mood/theme---calm", "mood/theme---dark")), "mtg_top50": mtg("top50tags", ("genre---rock", "instrument---bass")),
    "nsynth_instr": nsynth, "nsynth_instr_family": nsynth, "nsynth_pitch": nsynth, "nsynth_qualities": nsynth,
    **dict.fromkeys(("scores_density", "scores_genre", "scores_key", "scores_tags"), scores), "speech_commands": speech_commands,
    "vocalset_singer": vocalset, "vocalset_technique": vocalset, "voxceleb1": voxceleb1,
}  # fmt: skip
